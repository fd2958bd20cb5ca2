// The right to read why an operation of Azure Machine Learning failed. The operation lies under the
// subscription, so a role on the workspace does not reach it; this one holds that single action.
targetScope = 'subscription'

@description('Name of the installation: role names must be unique in the tenant.')
param installation string

@description('Principal of the app.')
param principalId string

var roles = loadJsonContent('../roles.json').custom

resource observer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installation, 'observer')
  properties: {
    roleName: 'Rollout observer ${installation} ${subscription().subscriptionId}'
    description: roles.observer.description
    type: 'CustomRole'
    permissions: [
      {
        actions: objectKeys(roles.observer.actions)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      subscription().id
    ]
  }
}

resource observerOnSubscription 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, observer.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: observer.id
  }
}
